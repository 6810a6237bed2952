# DOCTEST_INCLUDE: where doctest is installed, or else our substitute for what our tests use of it.
find_path(DOCTEST_INCLUDE doctest/doctest.h)
if(NOT DOCTEST_INCLUDE)
  message(STATUS "doctest is not installed; test/minidoctest stands in for it")
  set(DOCTEST_INCLUDE ${CMAKE_CURRENT_LIST_DIR}/minidoctest)
endif()
