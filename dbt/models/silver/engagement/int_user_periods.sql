{{ config(
    materialized='incremental',
    incremental_strategy='by_key',
    unique_key=['user_id', 'granularity', 'period'],
    indexes=[{'columns': ['user_id', 'granularity', 'period'], 'unique': true}],
    meta={'changes': ['user_id', 'granularity', 'period', 'country', 'is_retained']},
) }}

with

granularities (granularity, period_length) as (
    values ('day', interval '1 day'), ('week', interval '1 week'), ('month', interval '1 month')
),

{% if is_incremental() -%}
changed_users as materialized (
    select
        changed_ids.user_id,
        known_users.country
    from (
        select user_id
        from {{ changes_of(ref('int_user_days_by_file')) }} as changed_days
        union distinct
        select user_id
        from {{ changes_of(ref('dim_users')) }} as changed_countries
    ) as changed_ids
    left join {{ ref('dim_users') }} as known_users on changed_ids.user_id = known_users.user_id
),

-- All rows of a user have one country, so the first that is found tells whether the user moved.
moved_users as (
    select changed_users.user_id
    from changed_users
    left join lateral (
        select kept.country
        from {{ this }} as kept
        where kept.user_id = changed_users.user_id
        order by kept.granularity, kept.period
        limit 1
    ) as kept_periods on true
    where kept_periods.country is distinct from changed_users.country
),

-- What changes with a day: its period, and the period after that, which may be retained from it.
-- With a move, all periods of the user do.
touched_periods as (
    select distinct
        touched_days.user_id,
        granularities.granularity,
        granularities.period_length,
        (
            date_trunc(granularities.granularity, touched_days.event_date::timestamp)
            + granularities.period_length * periods_on
        )::date as period
    from (
        select
            user_id,
            event_date
        from {{ changes_of(ref('int_user_days_by_file')) }} as changed_days
        union distinct
        select
            user_days.user_id,
            user_days.event_date
        from moved_users
        inner join {{ ref('int_user_days_by_file') }} as user_days
            on moved_users.user_id = user_days.user_id
    ) as touched_days
    cross join granularities
    cross join generate_series(0, 1) as periods_on
),

-- Materialized, or each period is looked up once for every column that depends on it.
looked_up as materialized (
    select
        touched_periods.user_id,
        touched_periods.granularity,
        touched_periods.period_length,
        touched_periods.period,
        changed_users.country,
        changed_users.country is not null and exists (
            select
            from {{ ref('int_user_days_by_file') }} as user_days
            where
                user_days.user_id = touched_periods.user_id
                and user_days.event_date >= touched_periods.period
                and user_days.event_date < touched_periods.period + touched_periods.period_length
        ) as is_active
    from touched_periods
    inner join changed_users on touched_periods.user_id = changed_users.user_id
),

final as (
    select
        user_id,
        granularity,
        period,
        case when is_active then country end as country,
        case when is_active then exists (
            select
            from {{ ref('int_user_days_by_file') }} as user_days
            where
                user_days.user_id = looked_up.user_id
                and user_days.event_date >= looked_up.period - looked_up.period_length
                and user_days.event_date < looked_up.period
        ) end as is_retained
    from looked_up
)
{%- else -%}
active_periods as (
    select distinct
        user_days.user_id,
        granularities.granularity,
        granularities.period_length,
        date_trunc(granularities.granularity, user_days.event_date::timestamp)::date as period
    from {{ ref('int_user_days_by_file') }} as user_days
    cross join granularities
),

final as (
    select
        active_periods.user_id,
        active_periods.granularity,
        active_periods.period,
        known_users.country,
        coalesce(
            lag(active_periods.period) over (
                partition by active_periods.user_id, active_periods.granularity
                order by active_periods.period
            ) = (active_periods.period - active_periods.period_length)::date,
            false
        ) as is_retained
    from active_periods
    inner join {{ ref('dim_users') }} as known_users on active_periods.user_id = known_users.user_id
)
{%- endif %}

select * from final
