{{ config(
    materialized='incremental',
    incremental_strategy='by_file',
    indexes=[{'columns': ['_load_id']}, {'columns': ['user_id']}],
    meta={
        'files_of': {'source': 'sessions'},
        'changes': ['user_id', 'medium', 'started_at'],
    },
) }}

with

sessions as (
    select
        *,
        -- However it is spelled: paid_search, Paid-Search and ' PAID  SEARCH' are PAID SEARCH.
        nullif(
            upper(trim(regexp_replace(medium, '[\s_-]+', ' ', 'g'))), ''
        ) as spelled_medium
    from {{ source('bronze', 'sessions') }}
    where {{ in_changed_files() }}
),

-- Materialized, or the hash is calculated for each row instead of each file.
files as materialized (
    select
        current_load_id as load_id,
        left(md5(concat_ws('/', source, file_name)), 20) as file_hash
    from {{ source('ops', 'files') }}
    where source = 'sessions'
),

channels as (
    select * from {{ ref('attribution_channels') }}
),

other_channel as (
    select channel_id from channels
    where medium = 'any other'
),

final as (
    select
        -- The record's file and its number there, as there is no natural key.
        (files.file_hash || lpad(to_hex(sessions._source_row_number), 12, '0'))::uuid as session_id,
        sessions._load_id,
        trim(sessions.user_id) as user_id,
        coalesce(channels.channel_id, other_channel.channel_id) as channel_id,
        sessions.spelled_medium as medium,
        sessions.is_paid,
        sessions.time_started as started_at,
        (sessions.time_started at time zone 'utc')::date as started_date
    from sessions
    inner join files on sessions._load_id = files.load_id
    cross join other_channel
    left join channels on sessions.spelled_medium = channels.medium
)

select * from final
