{{ config(
    materialized='incremental',
    incremental_strategy='by_key',
    unique_key=['user_id'],
    indexes=[{'columns': ['user_id'], 'unique': true}],
    meta={'changes': [
        'user_id', 'cohort_date', 'country', 'is_back_d1', 'is_back_d7', 'is_back_d30',
        'is_back_d60', 'is_back_d90',
    ]},
) }}

with

changed_users as (
    select user_id
    from {{ changes_of(ref('int_user_days_by_file')) }} as changed_days
    union distinct
    select user_id
    from {{ changes_of(ref('dim_users')) }} as changed_users
),

users as (
    select
        user_id,
        country,
        (first_event_at at time zone 'utc')::date as cohort_date
    from {{ ref('dim_users') }}
),

final as (
    select
        changed_users.user_id,
        users.country,
        days_back.is_back_d1,
        days_back.is_back_d7,
        days_back.is_back_d30,
        days_back.is_back_d60,
        days_back.is_back_d90,
        users.cohort_date
    from changed_users
    left join users on changed_users.user_id = users.user_id
    left join lateral (
        select
            coalesce(bool_or(user_days.event_date = users.cohort_date + 1), false) as is_back_d1,
            coalesce(bool_or(user_days.event_date = users.cohort_date + 7), false) as is_back_d7,
            coalesce(bool_or(user_days.event_date = users.cohort_date + 30), false) as is_back_d30,
            coalesce(bool_or(user_days.event_date = users.cohort_date + 60), false) as is_back_d60,
            coalesce(bool_or(user_days.event_date = users.cohort_date + 90), false) as is_back_d90
        from {{ ref('int_user_days_by_file') }} as user_days
        where
            user_days.user_id = users.user_id
            and user_days.event_date in (
                users.cohort_date + 1,
                users.cohort_date + 7,
                users.cohort_date + 30,
                users.cohort_date + 60,
                users.cohort_date + 90
            )
    ) as days_back on users.user_id is not null
    -- A user that is gone has a row of nulls, to be taken out; in a build in full there is none.
    where users.user_id is not null or {{ is_incremental() }}
)

select * from final
