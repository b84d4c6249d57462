{{ config(
    materialized='incremental',
    incremental_strategy='by_key',
    unique_key=['retailer_key'],
    indexes=[{'columns': ['retailer_id', 'valid_from']}],
    meta={'changes': ['retailer_key', 'retailer_id', 'valid_from']},
) }}

{{ history_of(
    ref('int_retailer_days'),
    key='retailer_id',
    version='retailer_key',
    attributes=['retailer_name', 'location']
) }}
