{{ config(
    materialized='incremental',
    incremental_strategy='by_key',
    unique_key=['category_key'],
    indexes=[{'columns': ['category_id', 'valid_from']}],
    meta={'changes': ['category_key', 'category_id', 'valid_from']},
) }}

{{ history_of(
    ref('int_category_days'),
    key='category_id',
    version='category_key',
    attributes=['category']
) }}
