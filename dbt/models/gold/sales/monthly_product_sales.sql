{{ config(
    materialized='incremental',
    incremental_strategy='by_key',
    unique_key=['month', 'product_id', 'retailer_id', 'channel'],
) }}

with

{% if is_incremental() -%}
-- Where a sale came or went, and where a product or a retailer may be called something else now.
-- The arrays have the planner take an index, whatever it knows of the logs.
changed_groups as (
    select
        date_trunc('month', sale_date::timestamp)::date as month,
        product_id,
        retailer_id,
        channel
    from {{ changes_of(ref('int_sales')) }} as sale_changes
    union
    select
        date_trunc('month', sales.sale_date::timestamp)::date as month,
        sales.product_id,
        sales.retailer_id,
        sales.channel
    from {{ ref('int_sales') }} as sales
    where
        sales.product_id = any(
            array(
                select product_changes.product_id
                from {{ changes_of(ref('dim_product')) }} as product_changes
            )
        )
    union
    select
        date_trunc('month', sales.sale_date::timestamp)::date as month,
        sales.product_id,
        sales.retailer_id,
        sales.channel
    from {{ ref('int_sales') }} as sales
    where
        sales.retailer_id = any(
            array(
                select retailer_changes.retailer_id
                from {{ changes_of(ref('dim_retailer')) }} as retailer_changes
            )
        )
),

changed_months as (
    select distinct
        product_id,
        month
    from changed_groups
),
{%- endif %}

sales as (
    select
        sales.*,
        date_trunc('month', sales.sale_date::timestamp)::date as month
    from {{ ref('int_sales') }} as sales
    {% if is_incremental() -%}
    inner join changed_months
        on
            sales.product_id = changed_months.product_id
            and sales.sale_date >= changed_months.month
            and sales.sale_date < changed_months.month + interval '1 month'
    {%- endif %}
),

totals as (
    select
        month,
        product_id,
        retailer_id,
        channel,
        count(*) as sales,
        -- Null where not one of the sales says anything: what is not known is not nothing.
        sum(quantity)::bigint as quantity,
        sum(amount)::numeric(24, 6) as revenue,
        count(*) - count(quantity) as sales_without_quantity,
        count(*) - count(amount) as sales_without_revenue
    from sales
    group by month, product_id, retailer_id, channel
),

final as (
    select
        totals.month,
        totals.product_id,
        totals.retailer_id,
        totals.channel,
        products.product_name,
        retailers.retailer_name,
        totals.sales,
        totals.quantity,
        totals.revenue,
        totals.sales_without_quantity,
        totals.sales_without_revenue
    from totals
    left join {{ ref('dim_product') }} as products
        on totals.product_id = products.product_id and products.is_current
    left join {{ ref('dim_retailer') }} as retailers
        on totals.retailer_id = retailers.retailer_id and retailers.is_current
    {% if is_incremental() -%}
    union all
    -- Where no sale is left: the key, and nothing else.
    select
        month,
        product_id,
        retailer_id,
        channel,
        null as product_name,
        null as retailer_name,
        null as sales,
        null as quantity,
        null::numeric(24, 6) as revenue,
        null as sales_without_quantity,
        null as sales_without_revenue
    from changed_groups
    where (month, product_id, retailer_id, channel) not in (
        select
            totals.month,
            totals.product_id,
            totals.retailer_id,
            totals.channel
        from totals
    )
    {%- endif %}
)

select * from final
