with

cohorts as (
    select * from {{ ref('int_cohorts') }}
),

last_day as (
    select max(period) as event_date
    from {{ ref('int_activity') }}
    where granularity = 'day'
),

counted as (
    select
        cohorts.cohort_date,
        cohorts.country,
        cohorts.cohort_size,
        cohorts.d1_retained,
        cohorts.d7_retained,
        cohorts.d30_retained,
        cohorts.d60_retained,
        cohorts.d90_retained,
        last_day.event_date as last_event_date
    from cohorts
    cross join last_day
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
