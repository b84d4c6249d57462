{{ config(
    materialized='incremental',
    incremental_strategy='by_sum',
    unique_key=['granularity', 'period', 'country'],
    indexes=[{'columns': ['granularity', 'period', 'country'], 'unique': true}],
) }}

select
    granularity,
    period,
    country,
    sum(_change) as active_users,
    coalesce(sum(_change) filter (where is_retained), 0) as retained_users
from {{ changes_of(ref('int_user_periods')) }} as changes
group by granularity, period, country
