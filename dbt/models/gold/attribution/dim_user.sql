{{ config(
    materialized='incremental',
    incremental_strategy='by_key',
    unique_key=['user_id'],
) }}

with

{% if is_incremental() -%}
changed_users as (
    select user_id from {{ changes_of(ref('stg_sessions')) }} as session_changes
    union
    select user_id from {{ changes_of(ref('stg_conversions')) }} as registration_changes
),
{%- endif %}

sessions as (
    select
        user_id,
        count(*) as sessions,
        min(started_at) as first_session_at,
        max(started_at) as last_session_at
    from {{ ref('stg_sessions') }}
    {% if is_incremental() -%}
    where user_id in (select changed_users.user_id from changed_users)
    {%- endif %}
    group by user_id
),

registrations as (
    select
        user_id,
        count(distinct registered_at) as registrations,
        min(registered_at) as first_registered_at
    from {{ ref('stg_conversions') }}
    {% if is_incremental() -%}
    where user_id in (select changed_users.user_id from changed_users)
    {%- endif %}
    group by user_id
),

final as (
    select
        coalesce(sessions.user_id, registrations.user_id) as user_id,
        coalesce(sessions.sessions, 0) as sessions,
        coalesce(registrations.registrations, 0) as registrations,
        sessions.first_session_at,
        sessions.last_session_at,
        registrations.first_registered_at
    from sessions
    full outer join registrations on sessions.user_id = registrations.user_id
    {% if is_incremental() -%}
    union all
    -- Who has left: the key, and nothing else.
    select
        user_id,
        null as sessions,
        null as registrations,
        null as first_session_at,
        null as last_session_at,
        null as first_registered_at
    from changed_users
    where
        user_id not in (select sessions.user_id from sessions)
        and user_id not in (select registrations.user_id from registrations)
    {%- endif %}
)

select * from final
