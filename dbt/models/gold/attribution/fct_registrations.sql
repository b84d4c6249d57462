{{ config(
    materialized='incremental',
    incremental_strategy='by_key',
    unique_key=['user_id', 'registered_at'],
) }}

with

channels as (
    select * from {{ ref('attribution_channels') }}
),

other_channel as (
    select * from channels
    where medium = 'any other'
),

no_channel as (
    select * from channels
    where medium = 'no session'
),

{% if is_incremental() -%}
-- Whatever came or went, and whatever has a changed session before it.
changed_registrations as (
    select
        user_id,
        registered_at
    from {{ changes_of(ref('stg_conversions')) }} as registration_changes
    union
    select
        changed_sessions.user_id,
        conversions.registered_at
    from (
        select
            user_id,
            min(started_at) as first_started_at
        from {{ changes_of(ref('stg_sessions')) }} as session_changes
        group by user_id
    ) as changed_sessions
    inner join {{ ref('stg_conversions') }} as conversions
        on
            changed_sessions.user_id = conversions.user_id
            and changed_sessions.first_started_at <= conversions.registered_at
),
{%- endif %}

-- Delivered twice, a registration is still one.
registrations as (
    select distinct
        user_id,
        registered_at
    from {{ ref('stg_conversions') }}
    {% if is_incremental() -%}
    where (user_id, registered_at) in (
        select
            changed_registrations.user_id,
            changed_registrations.registered_at
        from changed_registrations
    )
    {%- endif %}
),

sessions as (
    select
        user_id,
        channel_id,
        started_at
    from {{ ref('stg_sessions') }}
    where user_id in (select registrations.user_id from registrations)
),

-- Sessions and registrations of a user on one line of time for each channel: one sort finds the
-- latest session before each registration, however many of both a user has. A join of the two
-- would multiply them.
moments as (
    select
        user_id,
        channel_id,
        started_at as happened_at,
        started_at as session_at,
        false as is_registration
    from sessions
    union all
    select
        registrations.user_id,
        channels.channel_id,
        registrations.registered_at as happened_at,
        null as session_at,
        true as is_registration
    from registrations
    cross join channels
),

-- The frame ends with the last of the moments at the same instant, so it includes a session that
-- began at the very moment of the registration.
latest_sessions as (
    select
        user_id,
        channel_id,
        happened_at,
        is_registration,
        max(session_at) over (
            partition by user_id, channel_id
            order by happened_at
            range between unbounded preceding and current row
        ) as session_at
    from moments
),

-- A session outside its channel's window is just any other session.
candidates as (
    select
        latest_sessions.user_id,
        latest_sessions.happened_at as registered_at,
        latest_sessions.session_at,
        case
            when
                latest_sessions.happened_at - latest_sessions.session_at
                <= channels.attribution_window
                then channels.channel_id
            else other_channel.channel_id
        end as channel_id
    from latest_sessions
    inner join channels on latest_sessions.channel_id = channels.channel_id
    cross join other_channel
    where latest_sessions.is_registration and latest_sessions.session_at is not null
),

attributions as (
    select distinct on (candidates.user_id, candidates.registered_at)
        candidates.user_id,
        candidates.registered_at,
        candidates.session_at,
        candidates.channel_id
    from candidates
    inner join channels on candidates.channel_id = channels.channel_id
    order by
        candidates.user_id asc,
        candidates.registered_at asc,
        channels.priority asc,
        candidates.session_at desc
),

final as (
    select
        registrations.user_id,
        registrations.registered_at,
        (registrations.registered_at at time zone 'utc')::date as registered_date,
        coalesce(attributions.channel_id, no_channel.channel_id) as channel_id,
        attributions.session_at,
        round(
            extract(epoch from registrations.registered_at - attributions.session_at) / 3600, 4
        )::numeric(14, 4) as hours_to_registration
    from registrations
    cross join no_channel
    left join attributions
        on
            registrations.user_id = attributions.user_id
            and registrations.registered_at = attributions.registered_at
    {% if is_incremental() -%}
    union all
    -- What has left: the key, and nothing else.
    select
        user_id,
        registered_at,
        null as registered_date,
        null as channel_id,
        null as session_at,
        null::numeric(14, 4) as hours_to_registration
    from changed_registrations
    where (user_id, registered_at) not in (
        select
            registrations.user_id,
            registrations.registered_at
        from registrations
    )
    {%- endif %}
)

select * from final
