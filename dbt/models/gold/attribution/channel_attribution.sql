with

registrations as (
    select
        *,
        -- In microseconds, so that what follows is exact.
        extract(epoch from registered_at - session_at) as seconds_to_registration
    from {{ ref('fct_registrations') }}
),

channels as (
    select * from {{ ref('dim_channel') }}
),

final as (
    select
        channels.channel,
        date_trunc('month', registrations.registered_date::timestamp)::date as month,
        count(*) as registrations,
        -- The middle one, or the mean of the two in the middle.
        round(
            (
                percentile_disc(0.5) within group (
                    order by registrations.seconds_to_registration asc
                )
                + percentile_disc(0.5) within group (
                    order by registrations.seconds_to_registration desc
                )
            ) / 7200,
            4
        ) as median_hours_to_registration,
        round(
            sum(registrations.seconds_to_registration)
            / (count(registrations.seconds_to_registration) * 3600),
            4
        ) as mean_hours_to_registration
    from registrations
    inner join channels on registrations.channel_id = channels.channel_id
    group by channels.channel, date_trunc('month', registrations.registered_date::timestamp)
)

select * from final
