{{ config(
    materialized='incremental',
    incremental_strategy='by_file',
    indexes=[{'columns': ['_load_id']}],
    meta={'files_of': {'source': 'event_stream'}},
) }}

with

events as (
    select * from {{ source('bronze', 'event_stream') }}
    where {{ in_changed_files() }}
),

-- Materialized, or the hash is calculated for each row instead of each file.
files as materialized (
    select
        current_load_id as load_id,
        left(md5(concat_ws('/', source, file_name)), 20) as file_hash
    from {{ source('ops', 'files') }}
    where source = 'event_stream'
),

final as (
    select
        -- The record's file and its number there, as there is no natural key. The same after
        -- every rebuild; and a file's records are neighbours in an index, which halves the time
        -- to fill it.
        (files.file_hash || lpad(to_hex(events._source_row_number), 12, '0'))::uuid as event_id,
        events._load_id,
        events.user_id,
        events.event_type,
        nullif(events.transaction_category, '') as transaction_category,
        nullif(events.platform, '') as platform,
        nullif(events.utm_source, '') as utm_source,
        coalesce(nullif(events.country, ''), 'unknown') as country,
        events.miles_amount,
        events.event_time as event_at,
        (events.event_time at time zone 'utc')::date as event_date
    from events
    inner join files on events._load_id = files.load_id
)

select * from final
