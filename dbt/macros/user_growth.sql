{#-
    How many users came, stayed, returned and left in each period ('day', 'week' or 'month'; weeks
    start on Monday) and country. The body of the models user_growth_*.
-#}
{% macro user_growth(granularity) -%}
with

activity as (
    select * from {{ ref('int_activity') }}
    where granularity = '{{ granularity }}'
),

newcomers as (
    select
        country,
        date_trunc('{{ granularity }}', cohort_date::timestamp)::date as period,
        sum(cohort_size)::bigint as new_users
    from {{ ref('int_cohorts') }}
    group by country, date_trunc('{{ granularity }}', cohort_date::timestamp)::date
),

periods as (
    select generate_series(
        min(period)::timestamp, max(period)::timestamp, interval '1 {{ granularity }}'
    )::date as period
    from activity
),

countries as (
    select distinct country from activity
),

counted as (
    select
        periods.period,
        countries.country,
        coalesce(newcomers.new_users, 0) as new_users,
        coalesce(activity.retained_users, 0) as retained_users,
        coalesce(activity_before.active_users, 0) as previously_active_users,
        coalesce(activity.active_users, 0) as active_users
    from periods
    cross join countries
    left join activity
        on periods.period = activity.period and countries.country = activity.country
    left join activity as activity_before
        on
            (periods.period - interval '1 {{ granularity }}')::date = activity_before.period
            and countries.country = activity_before.country
    left join newcomers
        on periods.period = newcomers.period and countries.country = newcomers.country
),

final as (
    select
        period,
        country,
        new_users,
        retained_users,
        active_users - new_users - retained_users as resurrected_users,
        previously_active_users - retained_users as churned_users,
        active_users
    from counted
)

select * from final
{%- endmacro %}
