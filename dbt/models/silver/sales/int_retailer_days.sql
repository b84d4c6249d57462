{{ config(
    materialized='incremental',
    incremental_strategy='by_key',
    unique_key=['retailer_id', 'sale_date'],
    indexes=[{'columns': ['retailer_id', 'sale_date'], 'unique': true}],
    meta={'changes': ['retailer_id', 'sale_date']},
) }}

{{ days_of(ref('int_sales'), key='retailer_id', attributes=['retailer_name', 'location']) }}
