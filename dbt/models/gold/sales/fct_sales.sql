{{ config(
    materialized='incremental',
    incremental_strategy='by_key',
    unique_key=['sale_id'],
    indexes=[
        {'columns': ['sale_date']},
        {'columns': ['product_key']},
        {'columns': ['brand_key']},
        {'columns': ['category_key']},
        {'columns': ['retailer_key']},
    ],
) }}

with

{% if is_incremental() -%}
{% for dimension in ('product', 'brand', 'category', 'retailer') -%}
changed_{{ dimension }}_versions as (
    select
        {{ dimension }}_id,
        valid_from
    from {{ changes_of(ref('dim_' ~ dimension)) }} as changes
    group by {{ dimension }}_key, {{ dimension }}_id, valid_from
    having sum(_change) != 0
),

{% endfor -%}
-- Whatever came or went, and the sales from the day on which a version came or went. The array has
-- the planner take an index, whatever it knows of the log.
changed_sales as (
    select sale_id from {{ changes_of(ref('int_sales')) }} as changes
    {% for dimension in ('product', 'brand', 'category', 'retailer') -%}
    union
    select sales.sale_id
    from changed_{{ dimension }}_versions as versions
    inner join {{ ref('int_sales') }} as sales
        on
            versions.{{ dimension }}_id = sales.{{ dimension }}_id
            and versions.valid_from <= sales.sale_date
    where
        sales.{{ dimension }}_id = any(
            array(
                select changes.{{ dimension }}_id
                from changed_{{ dimension }}_versions as changes
            )
        )
    {% endfor -%}
),
{%- endif %}

sales as (
    select * from {{ ref('int_sales') }}
    {% if is_incremental() -%}
    where sale_id in (select changed_sales.sale_id from changed_sales)
    {%- endif %}
),

final as (
    select
        sales.sale_id,
        products.product_key,
        brands.brand_key,
        categories.category_key,
        retailers.retailer_key,
        sales.channel,
        sales.quantity,
        sales.amount,
        sales.records,
        sales.sale_date
    from sales
    left join {{ ref('dim_product') }} as products
        on
            sales.product_id = products.product_id
            and sales.sale_date >= products.valid_from
            and sales.sale_date < coalesce(products.valid_to, 'infinity')
    left join {{ ref('dim_brand') }} as brands
        on
            sales.brand_id = brands.brand_id
            and sales.sale_date >= brands.valid_from
            and sales.sale_date < coalesce(brands.valid_to, 'infinity')
    left join {{ ref('dim_category') }} as categories
        on
            sales.category_id = categories.category_id
            and sales.sale_date >= categories.valid_from
            and sales.sale_date < coalesce(categories.valid_to, 'infinity')
    left join {{ ref('dim_retailer') }} as retailers
        on
            sales.retailer_id = retailers.retailer_id
            and sales.sale_date >= retailers.valid_from
            and sales.sale_date < coalesce(retailers.valid_to, 'infinity')
    {% if is_incremental() -%}
    union all
    -- What has left: the key, and nothing else.
    select
        sale_id,
        null as product_key,
        null as brand_key,
        null as category_key,
        null as retailer_key,
        null as channel,
        null as quantity,
        null::numeric(18, 6) as amount,
        null as records,
        null as sale_date
    from changed_sales
    where sale_id not in (select sales.sale_id from sales)
    {%- endif %}
)

select * from final
