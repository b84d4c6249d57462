{{ config(tags=['critical']) }}

-- Months in which the mart has other sums than the fact table.
with

by_month as (
    select
        month,
        sum(sales) as sales,
        sum(quantity) as quantity,
        sum(revenue) as revenue
    from {{ ref('monthly_product_sales') }}
    group by month
),

facts as (
    select
        date_trunc('month', sale_date::timestamp)::date as month,
        count(*) as sales,
        sum(quantity) as quantity,
        sum(amount) as revenue
    from {{ ref('fct_sales') }}
    group by date_trunc('month', sale_date::timestamp)
)

select
    coalesce(by_month.month, facts.month) as month,
    by_month.sales,
    facts.sales as sales_in_facts,
    by_month.revenue,
    facts.revenue as revenue_in_facts
from by_month
full outer join facts on by_month.month = facts.month
where
    by_month.sales is distinct from facts.sales
    or by_month.quantity is distinct from facts.quantity
    or by_month.revenue is distinct from facts.revenue
