with

channels as (
    select * from {{ ref('attribution_channels') }}
),

final as (
    select
        channel_id,
        channel,
        description,
        priority,
        -- An endless window has no number of hours.
        nullif(
            extract(epoch from attribution_window), 'infinity'
        ) / 3600 as window_hours
    from channels
)

select * from final
