{{ config(
    materialized='incremental',
    incremental_strategy='by_file',
    indexes=[{'columns': ['_load_id']}],
    meta={'files_of': {'model': 'stg_sessions'}},
) }}

with

sessions as (
    select * from {{ ref('stg_sessions') }}
    where {{ in_changed_files() }}
),

final as (
    select
        session_id,
        user_id,
        channel_id,
        started_at,
        started_date,
        medium,
        is_paid,
        _load_id
    from sessions
)

select * from final
