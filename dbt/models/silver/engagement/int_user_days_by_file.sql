{{ config(
    materialized='incremental',
    incremental_strategy='by_file',
    indexes=[{'columns': ['_load_id']}, {'columns': ['user_id', 'event_date']}],
    meta={'files_of': {'model': 'stg_event_stream'}, 'changes': ['user_id', 'event_date']},
) }}

with

events as (
    select * from {{ ref('stg_event_stream') }}
    where {{ in_changed_files() }}
),

final as (
    select
        _load_id,
        user_id,
        -- Of two events at the same moment, the one with the greater identifier is the latest.
        (array_agg(country order by event_at desc, event_id desc))[1] as country,
        (array_agg(event_id order by event_at desc, event_id desc))[1] as last_event_id,
        min(event_at) as first_event_at,
        max(event_at) as last_event_at,
        event_date
    from events
    group by _load_id, user_id, event_date
)

select * from final
