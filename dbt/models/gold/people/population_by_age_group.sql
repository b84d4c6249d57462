with

population as (
    select * from {{ ref('int_population') }}
),

age_groups as (
    select
        from_age,
        case
            when from_age = 100 then '100+'
            else from_age::text || '-' || (from_age + 9)::text
        end as age_group
    from generate_series(0, 100, 10) as from_ages (from_age)
    union all
    select
        null as from_age,
        'unknown' as age_group
),

banded as (
    select case when age >= 100 then 100 else age / 10 * 10 end as from_age
    from population
),

counted as (
    select
        from_age,
        count(*) as population
    from banded
    group by from_age
),

given_day as (
    select max(as_of_date) as as_of_date from population
),

final as (
    select
        age_groups.age_group,
        age_groups.from_age,
        coalesce(counted.population, 0) as population,
        given_day.as_of_date
    from age_groups
    cross join given_day
    left join counted on age_groups.from_age is not distinct from counted.from_age
)

select * from final
