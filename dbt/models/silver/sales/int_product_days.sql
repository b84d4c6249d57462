{{ config(
    materialized='incremental',
    incremental_strategy='by_key',
    unique_key=['product_id', 'sale_date'],
    indexes=[{'columns': ['product_id', 'sale_date'], 'unique': true}],
    meta={'changes': ['product_id', 'sale_date']},
) }}

{{ days_of(ref('int_sales'), key='product_id', attributes=['product_name', 'brand', 'category']) }}
