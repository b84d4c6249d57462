{{ user_growth('day') }}
