with

population as (
    select * from {{ ref('int_population') }}
),

final as (
    select
        gender,
        count(*) as population,
        max(as_of_date) as as_of_date
    from population
    group by gender
)

select * from final
