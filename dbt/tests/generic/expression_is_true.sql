{#- Returns the rows for which a condition does not hold; null counts as not held. -#}
{% test expression_is_true(model, expression) %}

select * from {{ model }}
where ({{ expression }}) is not true

{% endtest %}
