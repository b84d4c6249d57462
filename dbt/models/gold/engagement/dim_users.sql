with

user_days as (
    select * from {{ ref('int_user_days_by_file') }}
),

final as (
    select
        user_id,
        (array_agg(country order by last_event_at desc, last_event_id desc))[1] as country,
        min(first_event_at) as first_event_at,
        max(last_event_at) as last_event_at
    from user_days
    group by user_id
)

select * from final
