{#-
    Returns the days on which a deal would pay for clicks, but a mart of commission has no row of the
    marketing source that they could be paid with.
-#}
{% test paid_clicks_have_an_event(model, clicks, deals, marketing_sources) %}

select
    marketing_sources.marketing_source,
    clicks.date,
    clicks.clicks
from {{ clicks }} as clicks
inner join {{ deals }} as deals on clicks.marketing_source_key = deals.marketing_source_key
inner join {{ marketing_sources }} as marketing_sources
    on clicks.marketing_source_key = marketing_sources.marketing_source_key
left join {{ model }} as commission
    on
        marketing_sources.marketing_source = commission.marketing_source
        and clicks.date = commission.date
where clicks.clicks > 0 and deals.clicks_multiplier != 0 and commission.date is null

{% endtest %}
