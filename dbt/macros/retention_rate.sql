{#- Percent of a cohort that came back on a day; null while the day lies after the last event's. -#}
{% macro retention_rate(day) -%}
    case
        when cohort_date + {{ day }} <= last_event_date
            then round(100.0 * d{{ day }}_retained / cohort_size, 2)
    end
{%- endmacro %}
