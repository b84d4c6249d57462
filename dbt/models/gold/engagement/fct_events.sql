{{ config(
    materialized='incremental',
    incremental_strategy='by_file',
    indexes=[{'columns': ['_load_id']}],
    meta={'files_of': {'model': 'stg_event_stream'}},
) }}

with

events as (
    select * from {{ ref('stg_event_stream') }}
    where {{ in_changed_files() }}
),

final as (
    select
        event_id,
        user_id,
        event_at,
        event_date,
        event_type,
        transaction_category,
        miles_amount,
        platform,
        utm_source,
        country,
        _load_id
    from events
)

select * from final
