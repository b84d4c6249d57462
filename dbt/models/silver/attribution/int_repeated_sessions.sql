{{ config(
    materialized='incremental',
    incremental_strategy='by_key',
    unique_key=['user_id', 'medium', 'started_at'],
    indexes=[{'columns': ['user_id', 'medium', 'started_at'], 'unique': true}],
) }}

with

{% if is_incremental() -%}
changed_sessions as (
    select distinct
        user_id,
        coalesce(medium, 'none') as medium,
        started_at
    from {{ changes_of(ref('stg_sessions')) }} as changes
),
{%- endif %}

repeated_sessions as (
    select
        user_id,
        coalesce(medium, 'none') as medium,
        count(*) as records,
        started_at
    from {{ ref('stg_sessions') }}
    {% if is_incremental() -%}
    where user_id in (select changed_sessions.user_id from changed_sessions)
    {%- endif %}
    group by user_id, coalesce(medium, 'none'), started_at
    having count(*) > 1
),

final as (
    {% if is_incremental() -%}
    -- Without a number where there is nothing to report, or not any more.
    select
        changed_sessions.user_id,
        changed_sessions.medium,
        repeated_sessions.records,
        changed_sessions.started_at
    from changed_sessions
    left join repeated_sessions
        on
            changed_sessions.user_id = repeated_sessions.user_id
            and changed_sessions.medium = repeated_sessions.medium
            and changed_sessions.started_at = repeated_sessions.started_at
    {%- else -%}
    select * from repeated_sessions
    {%- endif %}
)

select * from final
