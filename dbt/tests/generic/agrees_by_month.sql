{#- Returns the months in which a monthly and a daily mart of commission differ in their sums. -#}
{% test agrees_by_month(model, daily) %}

with

by_month as (
    select
        month,
        sum(commission) as commission
    from {{ model }}
    group by month
),

by_day as (
    select
        date_trunc('month', date::timestamp)::date as month,
        sum(commission) as commission
    from {{ daily }}
    group by date_trunc('month', date::timestamp)
)

select
    coalesce(by_month.month, by_day.month) as month,
    by_month.commission as commission_by_month,
    by_day.commission as commission_by_day
from by_month
full outer join by_day on by_month.month = by_day.month
where by_month.commission is distinct from by_day.commission

{% endtest %}
