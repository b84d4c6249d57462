with

totals as (
    select * from {{ ref('int_scrapers_totals') }}
),

final as (
    select
        marketing_source_key,
        marketing_source,
        operator,
        visits,
        total_earnings,
        total_earnings - lag(total_earnings, 1, 0::numeric) over (
            partition by marketing_source_key, operator_key
            order by date
        ) as commission,
        date
    from totals
)

select * from final
