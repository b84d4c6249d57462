{{ config(
    materialized='incremental',
    incremental_strategy='by_key',
    unique_key=['brand_id', 'sale_date'],
    indexes=[{'columns': ['brand_id', 'sale_date'], 'unique': true}],
    meta={'changes': ['brand_id', 'sale_date']},
) }}

{{ days_of(ref('int_sales'), key='brand_id', attributes=['brand']) }}
