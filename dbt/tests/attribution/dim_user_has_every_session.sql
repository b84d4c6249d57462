-- A session without its user, or a user who was not calculated anew, shows here. Sums, as a join of
-- all sessions with all users would take ten times as long.
{{ config(tags=['critical']) }}

with

facts as (
    select count(*) as sessions from {{ ref('fct_sessions') }}
),

users as (
    select coalesce(sum(sessions), 0) as sessions from {{ ref('dim_user') }}
)

select
    facts.sessions as in_facts,
    users.sessions as of_users
from facts
inner join users on facts.sessions != users.sessions
