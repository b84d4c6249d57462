{#-
    How many users came, stayed, returned and left in each period ('day', 'week' or 'month'; weeks
    start on Monday) and country. The body of the models user_growth_*.
-#}
{% macro user_growth(period) -%}
with

user_days as (
    select * from {{ ref('int_user_days_by_file') }}
),

users as (
    select * from {{ ref('dim_users') }}
),

active_periods as (
    select distinct
        users.country,
        user_days.user_id,
        date_trunc('{{ period }}', user_days.event_date::timestamp)::date as period
    from user_days
    inner join users on user_days.user_id = users.user_id
),

neighbouring_periods as (
    select
        country,
        period,
        (period - interval '1 {{ period }}')::date as period_before,
        (period + interval '1 {{ period }}')::date as period_after,
        lag(period) over periods_of_user as previously_active,
        lead(period) over periods_of_user as next_active
    from active_periods
    window periods_of_user as (partition by user_id order by period)
),

activity as (
    select
        period,
        country,
        count(*) filter (where previously_active is null) as new_users,
        count(*) filter (where previously_active = period_before) as retained_users,
        count(*) filter (where previously_active < period_before) as resurrected_users,
        count(*) filter (where next_active is distinct from period_after) as leaving_users,
        count(*) as active_users
    from neighbouring_periods
    group by period, country
),

periods as (
    select generate_series(
        min(period)::timestamp, max(period)::timestamp, interval '1 {{ period }}'
    )::date as period
    from activity
),

countries as (
    select distinct country from users
),

final as (
    select
        periods.period,
        countries.country,
        coalesce(activity.new_users, 0) as new_users,
        coalesce(activity.retained_users, 0) as retained_users,
        coalesce(activity.resurrected_users, 0) as resurrected_users,
        coalesce(activity_before.leaving_users, 0) as churned_users,
        coalesce(activity.active_users, 0) as active_users
    from periods
    cross join countries
    left join activity
        on periods.period = activity.period and countries.country = activity.country
    left join activity as activity_before
        on
            (periods.period - interval '1 {{ period }}')::date = activity_before.period
            and countries.country = activity_before.country
)

select * from final
{%- endmacro %}
