"""Airflow DAGs of the default connections, `locus_default` and `stem_default`.

Another account is a file like this one: `account_dags(LocusAccount("locus_west"))`.
"""

from locus_stem.dags import LocusAccount, StemAccount, account_dags

account_dags(LocusAccount(), StemAccount())
