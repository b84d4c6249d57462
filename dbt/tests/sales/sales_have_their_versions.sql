{{ config(tags=['critical']) }}

-- Sales of which a version is missing in its dimension, or is not the one valid on that day.
select
    facts.sale_id,
    products.product_key,
    brands.brand_key,
    categories.category_key,
    retailers.retailer_key
from {{ ref('fct_sales') }} as facts
left join {{ ref('dim_product') }} as products
    on
        facts.product_key = products.product_key
        and facts.sale_date >= products.valid_from
        and facts.sale_date < coalesce(products.valid_to, 'infinity')
left join {{ ref('dim_brand') }} as brands
    on
        facts.brand_key = brands.brand_key
        and facts.sale_date >= brands.valid_from
        and facts.sale_date < coalesce(brands.valid_to, 'infinity')
left join {{ ref('dim_category') }} as categories
    on
        facts.category_key = categories.category_key
        and facts.sale_date >= categories.valid_from
        and facts.sale_date < coalesce(categories.valid_to, 'infinity')
left join {{ ref('dim_retailer') }} as retailers
    on
        facts.retailer_key = retailers.retailer_key
        and facts.sale_date >= retailers.valid_from
        and facts.sale_date < coalesce(retailers.valid_to, 'infinity')
where
    products.product_key is null
    or brands.brand_key is null
    or categories.category_key is null
    or retailers.retailer_key is null
