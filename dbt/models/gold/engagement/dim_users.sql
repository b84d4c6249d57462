{{ config(
    materialized='incremental',
    incremental_strategy='by_key',
    unique_key=['user_id'],
) }}

with

changed_users as (
    select distinct user_id
    from {{ changes_of(ref('int_user_days_by_file')) }} as changes
),

-- The first and the last of a user's days are two steps down an index, however many there are.
final as (
    select
        changed_users.user_id,
        latest.country,
        earliest.first_event_at,
        latest.last_event_at
    from changed_users
    left join lateral (
        select user_days.first_event_at
        from {{ ref('int_user_days_by_file') }} as user_days
        where user_days.user_id = changed_users.user_id
        order by user_days.event_date asc, user_days.first_event_at asc
        limit 1
    ) as earliest on true
    left join lateral (
        select
            user_days.country,
            user_days.last_event_at
        from {{ ref('int_user_days_by_file') }} as user_days
        where user_days.user_id = changed_users.user_id
        order by
            user_days.event_date desc, user_days.last_event_at desc, user_days.last_event_id desc
        limit 1
    ) as latest on true
)

select * from final
