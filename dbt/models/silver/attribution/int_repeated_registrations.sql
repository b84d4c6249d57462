{{ config(
    materialized='incremental',
    incremental_strategy='by_key',
    unique_key=['user_id', 'registered_at'],
    indexes=[{'columns': ['user_id', 'registered_at'], 'unique': true}],
) }}

with

{% if is_incremental() -%}
changed_registrations as (
    select distinct
        user_id,
        registered_at
    from {{ changes_of(ref('stg_conversions')) }} as changes
),
{%- endif %}

repeated_registrations as (
    select
        user_id,
        registered_at,
        count(*) as records
    from {{ ref('stg_conversions') }}
    {% if is_incremental() -%}
    where user_id in (select changed_registrations.user_id from changed_registrations)
    {%- endif %}
    group by user_id, registered_at
    having count(*) > 1
),

final as (
    {% if is_incremental() -%}
    -- Without a number where there is nothing to report, or not any more.
    select
        changed_registrations.user_id,
        changed_registrations.registered_at,
        repeated_registrations.records
    from changed_registrations
    left join repeated_registrations
        on
            changed_registrations.user_id = repeated_registrations.user_id
            and changed_registrations.registered_at = repeated_registrations.registered_at
    {%- else -%}
    select * from repeated_registrations
    {%- endif %}
)

select * from final
