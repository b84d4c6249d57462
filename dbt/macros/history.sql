{#-
    The history of things that are only known from dated records of them, such as products from
    sales: type 2 versions, from a day up to another. It is made of the records' own dates, never of
    the order in which they were loaded, so it is right when files come late or are corrected.

    Two models make it. The first has a row for each key and day, with what the day's records say:

        {{ days_of(ref('int_sales'), key='product_id', attributes=['product_name', 'brand']) }}

    The other, incremental by key on its surrogate key, has a row for each version:

        {{ history_of(ref('int_product_days'), key='product_id', version='product_key',
                      attributes=['product_name', 'brand']) }}
-#}

{#-
    What each attribute of a key was on each day: the last word of that day's records, by file and
    place in it; null where none of them says anything. Nothing is known of the key 'unknown'. Body
    of a model that is incremental by key on key and sale_date.
-#}
{% macro days_of(sales, key, attributes) -%}
with

{% if is_incremental() -%}
changed_days as (
    select distinct {{ key }}, sale_date
    from {{ changes_of(sales) }} as changes
),
{%- endif %}

days as (
    select
        sales.{{ key }},
        {%- for attribute in attributes %}
        case
            when sales.{{ key }} != 'unknown' then (
                array_agg(
                    sales.{{ attribute }}
                    order by sales.file_name collate "C" desc, sales.row_number_in_file desc
                ) filter (where sales.{{ attribute }} is not null)
            )[1]
        end as {{ attribute }},
        {%- endfor %}
        true as is_sold,
        sales.sale_date
    from {{ sales }} as sales
    {% if is_incremental() -%}
    inner join changed_days
        on sales.{{ key }} = changed_days.{{ key }} and sales.sale_date = changed_days.sale_date
    {%- endif %}
    group by sales.{{ key }}, sales.sale_date
),

final as (
    {% if is_incremental() -%}
    -- Without anything but the key where a day has no record any more.
    select
        changed_days.{{ key }},
        {%- for attribute in attributes %}
        days.{{ attribute }},
        {%- endfor %}
        days.is_sold,
        changed_days.sale_date
    from changed_days
    left join days
        on changed_days.{{ key }} = days.{{ key }} and changed_days.sale_date = days.sale_date
    {%- else -%}
    select * from days
    {%- endif %}
)

select * from final
{%- endmacro %}

{#-
    The versions: one begins on the first day on which an attribute is another than before, and ends
    with the next. What is not known on a day is as it was known last, or, before it ever was, as it
    is known first. Body of a model that is incremental by key on its version.
-#}
{% macro history_of(days, key, version, attributes) -%}
with

{% if is_incremental() -%}
changed_days as (
    select
        {{ key }},
        sale_date,
        min(_change) as change
    from {{ changes_of(days) }} as changes
    group by {{ key }}, sale_date
),

-- A new day within a version that says nothing else than the version changes no history. Every
-- other change of a day may.
touched as (
    select distinct changed_days.{{ key }}
    from changed_days
    left join {{ days }} as days
        on changed_days.{{ key }} = days.{{ key }} and changed_days.sale_date = days.sale_date
    left join {{ this }} as versions
        on
            changed_days.{{ key }} = versions.{{ key }}
            and changed_days.sale_date > versions.valid_from
            and changed_days.sale_date < coalesce(versions.valid_to, 'infinity')
    where
        changed_days.change < 0
        or versions.{{ key }} is null
        {%- for attribute in attributes %}
        or (
            days.{{ attribute }} is not null
            and days.{{ attribute }} is distinct from versions.{{ attribute }}
        )
        {%- endfor %}
),
{%- endif %}

days as (
    select
        *
        {%- for attribute in attributes %},
        count({{ attribute }}) over (
            partition by {{ key }} order by sale_date
        ) as {{ attribute }}_known
        {%- endfor %}
    from {{ days }}
    {% if is_incremental() -%}
    where {{ key }} in (select touched.{{ key }} from touched)
    {%- endif %}
),

filled as (
    select
        {{ key }},
        {%- for attribute in attributes %}
        case
            when {{ attribute }}_known > 0
                then max({{ attribute }}) over (partition by {{ key }}, {{ attribute }}_known)
            else max({{ attribute }}) filter (where {{ attribute }}_known = 1) over (
                partition by {{ key }}
            )
        end as {{ attribute }},
        {%- endfor %}
        sale_date
    from days
),

compared as (
    select
        *,
        lag(sale_date) over (partition by {{ key }} order by sale_date) is null
        {%- for attribute in attributes %}
        or (
            {{ attribute }} is distinct from lag({{ attribute }}) over (
                partition by {{ key }} order by sale_date
            )
        )
        {%- endfor %} as begins_version
    from filled
),

versions as (
    select
        *,
        lead(sale_date) over (partition by {{ key }} order by sale_date) as next_date
    from compared
    where begins_version
),

final as (
    select
        md5({{ key }} || to_char(sale_date, '/YYYY-MM-DD'))::uuid as {{ version }},
        {{ key }},
        {%- for attribute in attributes %}
        {{ attribute }},
        {%- endfor %}
        next_date is null as is_current,
        sale_date as valid_from,
        next_date as valid_to
    from versions
    {% if is_incremental() -%}
    union all
    -- Versions that are none any more: the key, and nothing else.
    select
        {{ version }},
        null as {{ key }},
        {%- for attribute in attributes %}
        null as {{ attribute }},
        {%- endfor %}
        null as is_current,
        null as valid_from,
        null as valid_to
    from {{ this }}
    where
        {{ key }} in (select touched.{{ key }} from touched)
        and ({{ key }}, valid_from) not in (
            select
                versions.{{ key }},
                versions.sale_date
            from versions
        )
    {%- endif %}
)

select * from final
{%- endmacro %}
