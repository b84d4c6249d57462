{{ config(
    materialized='incremental',
    incremental_strategy='by_sum',
    unique_key=['cohort_date', 'country'],
    indexes=[{'columns': ['cohort_date', 'country'], 'unique': true}],
) }}

select
    cohort_date,
    country,
    sum(_change) as cohort_size,
    coalesce(sum(_change) filter (where is_back_d1), 0) as d1_retained,
    coalesce(sum(_change) filter (where is_back_d7), 0) as d7_retained,
    coalesce(sum(_change) filter (where is_back_d30), 0) as d30_retained,
    coalesce(sum(_change) filter (where is_back_d60), 0) as d60_retained,
    coalesce(sum(_change) filter (where is_back_d90), 0) as d90_retained
from {{ changes_of(ref('int_user_returns')) }} as changes
group by cohort_date, country
