# DOCTEST_INCLUDE: where doctest is installed, or else our substitute for what our tests use of it.
find_path(DOCTEST_INCLUDE doctest/doctest.h HINTS /usr/include NO_CMAKE_FIND_ROOT_PATH)
if(NOT DOCTEST_INCLUDE)
  message(STATUS "doctest is not installed; test/minidoctest stands in for it")
  set(DOCTEST_INCLUDE ${CMAKE_CURRENT_LIST_DIR}/minidoctest)
elseif(CMAKE_CROSSCOMPILING)
  # A copy of its own: with the rest of the host's /usr/include two C libraries would mix.
  file(COPY ${DOCTEST_INCLUDE}/doctest DESTINATION ${CMAKE_CURRENT_BINARY_DIR}/include)
  set(DOCTEST_INCLUDE ${CMAKE_CURRENT_BINARY_DIR}/include)
endif()
