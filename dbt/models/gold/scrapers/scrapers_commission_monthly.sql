with

commission as (
    select * from {{ ref('int_scrapers_commission') }}
),

final as (
    select
        operator,
        date_trunc('month', date::timestamp)::date as month,
        sum(visits)::bigint as visits,
        sum(commission)::numeric(24, 6) as commission
    from commission
    group by operator, date_trunc('month', date::timestamp)
)

select * from final
