#pragma once
#include "TmvStub.h"
TMV_STUB(0, 7)
template <typename T> class TUniquePtr {
 public:
  TUniquePtr(std::nullptr_t = nullptr) {}
  TUniquePtr(TUniquePtr&&);
  template <typename U, typename = std::enable_if_t<std::is_convertible<U*, T*>::value>> TUniquePtr(TUniquePtr<U>&&) {}
  ~TUniquePtr() { static_assert(sizeof(T) > 0, "the pointed-to type is incomplete"); }
  TUniquePtr& operator=(TUniquePtr&&);
  TUniquePtr& operator=(std::nullptr_t);
  TUniquePtr(const TUniquePtr&) = delete;
  T* Get() const;
  void Reset(T* = nullptr);
  bool IsValid() const;
  explicit operator bool() const;
  bool operator!() const;
  T* operator->() const;
  T& operator*() const;
};
template <typename T, typename... A> TUniquePtr<T> MakeUnique(A&&... Args) { (void)sizeof(T(std::forward<A>(Args)...)); return TUniquePtr<T>(); }
