{{ config(
    materialized='incremental',
    incremental_strategy='by_key',
    unique_key=['person_id'],
) }}

with

changed_persons as (
    select distinct person_id
    from {{ changes_of(ref('dim_person')) }} as changes
),

final as (
    select
        changed_persons.person_id,
        persons.location_id,
        persons.registered_at,
        (persons.registered_at at time zone 'utc')::date as registered_date,
        case
            when persons.birth_date <= (persons.registered_at at time zone 'utc')::date
                then extract(
                    year from age(
                        (persons.registered_at at time zone 'utc')::date::timestamp,
                        persons.birth_date::timestamp
                    )
                )::integer
        end as age_at_registration
    from changed_persons
    left join {{ ref('dim_person') }} as persons
        on changed_persons.person_id = persons.person_id
)

select * from final
