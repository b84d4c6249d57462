{{ config(materialized='view') }}

with

persons as (
    select * from {{ ref('dim_person') }}
),

given_day as (
    select
        coalesce(
            nullif('{{ var("people_as_of") }}', '')::date,
            (max(extracted_at) at time zone 'utc')::date
        ) as as_of_date
    from persons
),

final as (
    select
        persons.person_id,
        coalesce(persons.gender, 'unknown') as gender,
        coalesce(persons.nationality, 'unknown') as nationality,
        -- In whole years; who is born on 29 February is a year older on 1 March.
        case
            when persons.birth_date <= given_day.as_of_date
                then extract(
                    year from age(given_day.as_of_date::timestamp, persons.birth_date::timestamp)
                )::integer
        end as age,
        given_day.as_of_date
    from persons
    cross join given_day
    where (persons.registered_at at time zone 'utc')::date <= given_day.as_of_date
)

select * from final
