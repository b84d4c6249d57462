{{ config(
    materialized='incremental',
    incremental_strategy='by_key',
    unique_key=['product_key'],
    indexes=[{'columns': ['product_id', 'valid_from']}],
    meta={'changes': ['product_key', 'product_id', 'valid_from']},
) }}

{{ history_of(
    ref('int_product_days'),
    key='product_id',
    version='product_key',
    attributes=['product_name', 'brand', 'category']
) }}
