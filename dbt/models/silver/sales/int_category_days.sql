{{ config(
    materialized='incremental',
    incremental_strategy='by_key',
    unique_key=['category_id', 'sale_date'],
    indexes=[{'columns': ['category_id', 'sale_date'], 'unique': true}],
    meta={'changes': ['category_id', 'sale_date']},
) }}

{{ days_of(ref('int_sales'), key='category_id', attributes=['category']) }}
