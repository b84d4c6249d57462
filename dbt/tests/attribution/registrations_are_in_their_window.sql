-- The rules once more, from the outside: what is attributed lies in its channel's window, and only
-- what has no session is unattributed.
{{ config(tags=['critical']) }}

select
    registrations.user_id,
    registrations.registered_at,
    registrations.session_at,
    channels.channel
from {{ ref('fct_registrations') }} as registrations
inner join {{ ref('dim_channel') }} as channels
    on registrations.channel_id = channels.channel_id
where
    registrations.session_at > registrations.registered_at
    or registrations.registered_at - registrations.session_at
    > channels.window_hours * interval '1 hour'
    or (channels.channel = 'UNATTRIBUTED') != (registrations.session_at is null)
