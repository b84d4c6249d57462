{{ config(
    materialized='incremental',
    incremental_strategy='by_key',
    unique_key=['brand_key'],
    indexes=[{'columns': ['brand_id', 'valid_from']}],
    meta={'changes': ['brand_key', 'brand_id', 'valid_from']},
) }}

{{ history_of(
    ref('int_brand_days'),
    key='brand_id',
    version='brand_key',
    attributes=['brand']
) }}
