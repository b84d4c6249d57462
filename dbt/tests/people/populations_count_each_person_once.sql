-- Three ways to divide the same persons: each comes to the same number.
{{ config(tags=['critical']) }}

with

counts as (
    select
        (select count(*) from {{ ref('int_population') }}) as persons,
        (select sum(population) from {{ ref('population_by_age_group') }}) as by_age_group,
        (select coalesce(sum(population), 0) from {{ ref('population_by_nationality') }})
            as by_nationality,
        (select coalesce(sum(population), 0) from {{ ref('population_by_gender') }}) as by_gender
)

select * from counts
where persons != by_age_group or persons != by_nationality or persons != by_gender
