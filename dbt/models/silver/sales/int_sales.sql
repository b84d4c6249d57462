{{ config(
    materialized='incremental',
    incremental_strategy='by_key',
    unique_key=['sale_id'],
    indexes=[
        {'columns': ['sale_id'], 'unique': true},
        {'columns': ['product_id', 'sale_date']},
        {'columns': ['brand_id', 'sale_date']},
        {'columns': ['category_id', 'sale_date']},
        {'columns': ['retailer_id', 'sale_date']},
    ],
    meta={'changes': [
        'sale_id', 'product_id', 'brand_id', 'category_id', 'retailer_id', 'channel', 'sale_date'
    ]},
) }}

with

{% if is_incremental() -%}
changed_sales as (
    select distinct sale_id from {{ changes_of(ref('stg_sales')) }} as changes
),
{%- endif %}

-- Files are named by their days, so the last one by name has the last word, whenever it came.
last_words as (
    select distinct on (sale_id)
        *,
        count(*) over (partition by sale_id) as records
    from {{ ref('stg_sales') }}
    {% if is_incremental() -%}
    where sale_id in (select changed_sales.sale_id from changed_sales)
    {%- endif %}
    order by
        sale_id asc,
        file_name collate "C" desc,
        row_number_in_file desc
),

final as (
    select
        {% if is_incremental() -%}
        changed_sales.sale_id,
        {%- else -%}
        last_words.sale_id,
        {%- endif %}
        last_words.product_id,
        last_words.brand_id,
        last_words.category_id,
        last_words.retailer_id,
        last_words.channel,
        last_words.file_name,
        last_words.row_number_in_file,
        last_words.product_name,
        last_words.brand,
        last_words.category,
        last_words.retailer_name,
        last_words.location,
        last_words.quantity,
        last_words.amount,
        last_words.records,
        last_words.sale_date
    {% if is_incremental() -%}
    -- Without anything but the id where the sale has left.
    from changed_sales
    left join last_words on changed_sales.sale_id = last_words.sale_id
    {%- else -%}
    from last_words
    {%- endif %}
)

select * from final
