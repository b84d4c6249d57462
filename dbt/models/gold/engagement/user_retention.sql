with

user_days as (
    select * from {{ ref('int_user_days_by_file') }}
),

users as (
    select
        user_id,
        country,
        (first_event_at at time zone 'utc')::date as cohort_date,
        (last_event_at at time zone 'utc')::date as last_event_date
    from {{ ref('dim_users') }}
),

last_day as (
    select max(last_event_date) as event_date from users
),

cohorts as (
    select
        cohort_date,
        country,
        count(*) as cohort_size
    from users
    group by cohort_date, country
),

returns as (
    select distinct
        users.user_id,
        users.cohort_date,
        users.country,
        user_days.event_date - users.cohort_date as days_later
    from user_days
    inner join users on user_days.user_id = users.user_id
    where user_days.event_date - users.cohort_date in (1, 7, 30, 60, 90)
),

retained as (
    select
        cohort_date,
        country,
        count(*) filter (where days_later = 1) as d1_retained,
        count(*) filter (where days_later = 7) as d7_retained,
        count(*) filter (where days_later = 30) as d30_retained,
        count(*) filter (where days_later = 60) as d60_retained,
        count(*) filter (where days_later = 90) as d90_retained
    from returns
    group by cohort_date, country
),

counted as (
    select
        cohorts.cohort_date,
        cohorts.country,
        cohorts.cohort_size,
        coalesce(retained.d1_retained, 0) as d1_retained,
        coalesce(retained.d7_retained, 0) as d7_retained,
        coalesce(retained.d30_retained, 0) as d30_retained,
        coalesce(retained.d60_retained, 0) as d60_retained,
        coalesce(retained.d90_retained, 0) as d90_retained,
        last_day.event_date as last_event_date
    from cohorts
    cross join last_day
    left join retained
        on cohorts.cohort_date = retained.cohort_date and cohorts.country = retained.country
),

final as (
    select
        cohort_date,
        country,
        cohort_size,
        d1_retained,
        {{ retention_rate(1) }} as d1_retention_rate,
        d7_retained,
        {{ retention_rate(7) }} as d7_retention_rate,
        d30_retained,
        {{ retention_rate(30) }} as d30_retention_rate,
        d60_retained,
        {{ retention_rate(60) }} as d60_retention_rate,
        d90_retained,
        {{ retention_rate(90) }} as d90_retention_rate
    from counted
)

select * from final
