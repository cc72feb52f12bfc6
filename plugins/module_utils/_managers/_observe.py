# Copyright: Logward contributors
# SPDX-License-Identifier: GPL-3.0-or-later
"""From the survey of a log directory to what managers are asked about."""

from __future__ import annotations

from .._laravel import application_of_logs
from .._laravel_env import daily_log
from .._survey import Survey
from ._conflicts import LogFile, Logs, coming_names

#: What Laravel's daily log was called once.
_LARAVELS = "laravel-2000-01-01.log"


def logs_of(survey: Survey) -> Logs:
    """Return a log directory as it is and as it is planned, and its newest files."""
    files = tuple(LogFile(*each) for each in survey.newest())
    names = [each.name for each in files]
    application = application_of_logs(survey.policy.path)
    if application is not None and daily_log(application) is not None:
        names.append(_LARAVELS)
    places, coming = survey.places, coming_names(names)
    return Logs(survey.policy, places.before, places.after, files, coming)
