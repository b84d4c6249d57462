{#- Returns the operators that no mapping knows, and how many days each has. -#}
{% test operators_are_known(model) %}

select
    operator,
    count(distinct date) as days
from {{ model }}
where not is_operator_known
group by operator

{% endtest %}
